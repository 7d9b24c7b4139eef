import { useEffect } from "react";
import { RealtimeClient } from "@supabase/realtime-js";
import { show } from "./_views.jsx";

const supabase = new RealtimeClient(`ws://${location.host}/realtime/v1`, { params: { apikey: "public-anon-key" } });
supabase.connect();

let visits = 0;

function View() {
  useEffect(() => {
    supabase.channel(`room:${(visits += 1)}`).on("broadcast", { event: "moved" }, () => {}).subscribe();
  }, []);
  return <p>view</p>;
}

show(View);
