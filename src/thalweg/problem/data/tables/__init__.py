"""Tables: frames, CSV and Parquet to standardised columns, with everything worth knowing pointed out."""
