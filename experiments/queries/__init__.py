"""Files of queries in, files of grants out, and the filter between two pipes."""
