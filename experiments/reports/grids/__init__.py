"""Reports of grids: points against compute, and how much settings matter."""
