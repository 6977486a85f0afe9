//! Chooses a source from what the user named.
