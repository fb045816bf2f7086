"""Many lanes on their way: moved by threads, listened to as one, compared and thinned out at rungs."""
