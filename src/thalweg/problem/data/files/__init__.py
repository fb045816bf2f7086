"""Files that hold arrays, pictures or text: one reader for each form. Tables have their own folder."""
