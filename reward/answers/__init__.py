"""Whether an answer is the right one: names, lists, quantities, presentation."""
