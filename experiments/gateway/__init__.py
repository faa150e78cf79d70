"""A proxy before servers of reasoning models that grants each request its tokens by the price of the moment."""
