"""The sandbox's pages: the customer's and the dashboard's."""
