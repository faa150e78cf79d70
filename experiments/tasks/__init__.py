"""What is measured: labelled tasks and label-free text, as plain lists of examples."""
