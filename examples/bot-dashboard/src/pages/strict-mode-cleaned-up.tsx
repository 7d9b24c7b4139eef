// Benign: StrictMode runs the effect twice, and the cleanup closes the first connection before it was made (strict=1).

import { useEffect } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options } from "../services/session";
import { show } from "../show";

function Status() {
  useEffect(() => {
    const socket = io(backendUrl, options());
    return () => void socket.disconnect();
  }, []);
  return <Panel title="Status" isConnected={true} />;
}

show(<Status />);
