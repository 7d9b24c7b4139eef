"""Facts about source code that opens connections, found in its syntax tree.

call      call in the source code that opens a connection, such as `io(url)`
context   part of the program that runs a call: an effect, the body of a component, an event handler, a module
owner     component, hook, class or named function that contains a context
cleanup   function that an effect returns; it runs when the component is unmounted and before the effect runs again
fault     connection that is not closed, or listener that is not removed
"""
