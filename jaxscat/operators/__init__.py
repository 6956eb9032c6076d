"""Where wavelets and pixels meet: tables made on the host, and pure functions that apply them."""
