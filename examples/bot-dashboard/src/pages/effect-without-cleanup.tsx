// Cause: an effect opens a connection and never closes it; StrictMode runs the effect twice (strict=1).

import { useEffect } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options } from "../services/session";
import { show } from "../show";

function Status() {
  useEffect(() => {
    io(backendUrl, options());
  }, []);
  return <Panel title="Status" isConnected={true} />;
}

show(<Status />);
