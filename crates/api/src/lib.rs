//! The HTTP face of the Strongroom service.
