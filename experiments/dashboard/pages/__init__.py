"""The pages of the dashboard, and the parts that they are made of."""
