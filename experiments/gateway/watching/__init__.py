"""How a gateway is seen from outside: metrics, a line per request, and a page."""
