"""Reading and writing files: everything that is read or written goes through here.

What is read is checked, whoever wrote it: `plain_data` (JSON and YAML), `record` (their entries), `tables` (parquet),
`tensors` (safetensors). What is written appears whole or not at all: `writing` (a file), `folders` (a folder), `locks`
(one writer at a time).
"""
