"""What a corpus holds, what it lacks, and what it takes: numbers without pictures of them."""
