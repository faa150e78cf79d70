"""Report pages: what is on one, the template, pictures inside it, and how the report can be made again."""
