import { show } from "./Views.jsx";

function quote(parcel) {
  const source = new EventSource(`/events?parcel=${parcel}`);
  source.addEventListener("moved", (event) => {
    if (JSON.parse(event.data).id === 4) source.close();
  });
}

function Desk() {
  return <button id="quote" onClick={() => ["a", "b", "c"].forEach(quote)}>quotes</button>;
}

show(<Desk />);
