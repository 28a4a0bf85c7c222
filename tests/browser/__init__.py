"""What a person sees and does in a browser, in headless Chromium."""
