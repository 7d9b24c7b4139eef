"""Facts about the code around a handler, from the text of its script."""

import pytest

from wscheck.observe.browser.handlers import removes_handler

CASES = {
    "hook": (
        "function useMoves(){useEffect(()=>{const heard=()=>set(1);HERE socket.on('moved',heard);"
        "return()=>{socket.off('moved',heard)}},[])}",
        True,
    ),
    "no cleanup": ("function Row(){useEffect(()=>{socket.on('moved',HERE ()=>{})},[]);return 1}", False),
    "handler of the component": (
        "function Row(){const heard=HERE ()=>{};useEffect(()=>{s.on('moved',heard);return()=>s.off('moved',heard)})}",
        True,
    ),
    "composable": (
        "function useYard(){onMounted(()=>{s.on('moved',HERE m=>{x(m)})});"
        "onUnmounted(()=>{s.removeAllListeners('moved')})}",
        True,
    ),
    "class": ("class Gate{open(){this.s.on('moved',HERE ()=>{})} close(){this.s.off('moved')}}", True),
    "another event": ("function Row(){useEffect(()=>{s.on('moved',HERE ()=>{});return()=>s.off('gone',f)})}", False),
    "another function": (
        "function Row(){useEffect(()=>{s.on('moved',HERE ()=>{});return()=>s.off('moved',()=>{})})}",
        False,
    ),
    "another bound function": (
        "class Row{mount(){s.on('moved',HERE this.f.bind(this))} leave(){s.off('moved',this.f.bind(this))}}",
        False,
    ),
    "variable": ("function use(event){useEffect(()=>{s.on(event,HERE f);return()=>s.off(event,f)})}", True),
    "everything": ("function use(){useEffect(()=>{s.on('moved',HERE f);return()=>{s.off()}})}", True),
    "elsewhere in the module": (
        "{function A(){use(()=>{s.on('moved',HERE f)})}\nfunction B(){s.off('moved',f)}}",
        False,
    ),
    "module level": ("s.on('moved',HERE ()=>{}); s.off('moved',f)", None),
    "a large block": ("{" + "x();" * 3_000 + "s.on('moved',HERE f);s.off('moved',f)}", None),
}


@pytest.mark.parametrize(("code", "removes"), CASES.values(), ids=CASES)
def test_code_removes_the_handler_that_it_registers(code: str, removes: bool | None) -> None:
    before, _, after = code.partition("HERE ")
    text = f"// first line\n{before}{after}"
    assert removes_handler(text, 1, len(before), "moved") is removes


@pytest.mark.parametrize(("line", "column"), [(9, 0), (1, 99)])
def test_nothing_is_known_about_a_position_outside_the_text(line: int, column: int) -> None:
    assert removes_handler("a\nb", line, column, "moved") is None
