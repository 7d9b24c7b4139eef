import library from "react-use-websocket";
import { Views, host, show } from "./Views.jsx";

const useWebSocket = library.default || library;

function Bell() {
  useWebSocket(`ws://${host}/ws/moves`, { share: true });
  return null;
}

function Yard() {
  useWebSocket(`ws://${host}/ws/moves`, { share: true });
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }}><Bell /></Views>);
