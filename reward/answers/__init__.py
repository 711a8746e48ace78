"""Judge answers: names, lists, quantities, presentation."""
