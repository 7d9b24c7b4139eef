"""A page with a button."""

import streamlit

streamlit.button("greet")
