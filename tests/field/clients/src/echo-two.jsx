import { useEffect } from "react";
import { Echo, settings } from "./Echo.js";
import { show } from "./Views.jsx";

function Bell() {
  useEffect(() => {
    const echo = new Echo(settings);
    echo.channel("yard").listen(".moved", () => {});
    return () => echo.disconnect();
  }, []);
  return null;
}

function List() {
  useEffect(() => {
    const echo = new Echo(settings);
    echo.channel("yard").listen(".moved", () => {});
    return () => echo.disconnect();
  }, []);
  return null;
}

show(<><Bell /><List /></>);
