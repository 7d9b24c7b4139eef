// A chat whose component renders with each letter that the user types, as in the example of the package.
import { useState } from "react";
import { createRoot } from "react-dom/client";
import useSocket from "use-socket.io-client";

function Chat() {
  const [count, setCount] = useState(0);
  const [socket] = useSocket(location.origin, { transports: ["websocket"] });
  return (
    <button id="type" onClick={() => setCount(count + 1)}>
      {socket.id} {count}
    </button>
  );
}

createRoot(document.getElementById("app")).render(<Chat />);
