"""The host side of a preparation, by kind of raw data: arrays, images, text. Tables have their own folder."""
