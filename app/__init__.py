"""The application: web, command line, services."""
