// a subscription whose variable changes every second: the new one starts before the old one ends
import { useEffect, useState } from "react";
import { analytics, graphql, sink } from "./Links.js";
import { show } from "./Views.jsx";

const client = graphql();
analytics();

function Board() {
  const [page, setPage] = useState(1);
  useEffect(() => {
    const timer = setInterval(() => setPage((now) => now + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    const end = client.subscribe({ query: "subscription P($yard: String) { moved(yard: $yard) }", variables: { yard: `${page % 2}` } }, sink);
    return () => setTimeout(end, 50);
  }, [page]);
  return <p>{page}</p>;
}

show(<Board />);
