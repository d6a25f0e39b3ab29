//! Built-in roles of the clouds, as their providers publish them.
