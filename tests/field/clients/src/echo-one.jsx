import { useEffect } from "react";
import { Echo, settings } from "./Echo.js";
import { Views, show } from "./Views.jsx";

const echo = new Echo(settings);
echo.channel("news").listen(".moved", () => {});

function Orders() {
  useEffect(() => {
    echo.channel("orders").listen(".moved", () => {});
    return () => echo.leave("orders");
  }, []);
  return <p>orders</p>;
}

show(<Views views={{ "/orders": Orders }} />);
