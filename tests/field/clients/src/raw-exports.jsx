import { host, show } from "./Views.jsx";

const follow = (job) =>
  new Promise((done) => {
    const socket = new WebSocket(`ws://${host}/live?job=${job}`);
    socket.onmessage = (message) => {
      if (JSON.parse(message.data).id < 4) return;
      socket.close();
      done(job);
    };
  });

function Exports() {
  return <button id="export" onClick={() => Promise.all([7, 8].map(follow))}>export</button>;
}

show(<Exports />);
