// Two views that links reach, by the fragment of the address: a home view, and those of `views`
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

export function show(element) {
  createRoot(document.getElementById("root")).render(element);
}

export function Views({ views, children }) {
  const [path, setPath] = useState(location.hash.slice(1) || "/");
  useEffect(() => {
    const follow = () => setPath(location.hash.slice(1) || "/");
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const View = views[path];
  return (
    <>
      <nav><a href="#/">home</a> {Object.keys(views).map((each) => <a key={each} href={`#${each}`}>{each}</a>)}</nav>
      {children}
      {View ? <View /> : <p>home</p>}
    </>
  );
}

export const host = location.host;
