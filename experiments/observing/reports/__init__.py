"""What an observation looks like: tables, pictures, the page, the terminal."""
