// Cause: hot reload evaluates the module again under a new address (?t=...), and the old module's socket stays.

import { useEffect, useState } from "react";
import { Panel } from "../components/views";
import { show } from "../show";

function load(save: number): void {
  const address = `./hot-module.js${location.search || "?"}&t=${save}`;
  void import(address);
}

function Editor() {
  const [saves, setSaves] = useState(0);
  useEffect(() => {
    load(saves);
    if (saves >= 2) return;
    const timer = setTimeout(() => setSaves(saves + 1), 400);
    return () => clearTimeout(timer);
  }, [saves]);
  return <Panel title={`Saved ${saves} times`} isConnected={true} />;
}

show(<Editor />);
