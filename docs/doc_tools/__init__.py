"""What builds and checks the site: pages that are made of the code, drawings, dead links."""
