// A home view and the view `View` at #/view, which links reach
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

function Views({ View }) {
  const [place, setPlace] = useState(location.hash);
  useEffect(() => {
    const follow = () => setPlace(location.hash);
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return <><nav><a href="#/home">home</a> <a href="#/view">view</a></nav>{place === "#/view" ? <View /> : <p>home</p>}</>;
}

export function show(View) {
  createRoot(document.getElementById("root")).render(<Views View={View} />);
}
