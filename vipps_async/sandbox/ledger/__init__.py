"""What moved on payments, and the rules of it: money, time and customers, without HTTP, JSON or codes."""
