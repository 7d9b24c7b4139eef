import { useEffect } from "react";
import { Echo, settings } from "./Echo.js";
import { Views, show } from "./Views.jsx";

const echo = new Echo(settings);

function Orders() {
  useEffect(() => {
    echo.channel("orders").listen(".moved", () => {});
  }, []);
  return <p>orders</p>;
}

show(<Views views={{ "/orders": Orders }} />);
