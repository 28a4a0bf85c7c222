"""What people see in a browser: the customer's pages and the dashboard."""
