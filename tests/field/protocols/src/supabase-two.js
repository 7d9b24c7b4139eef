import { RealtimeClient } from "@supabase/realtime-js";

function client() {
  return new RealtimeClient(`ws://${location.host}/realtime/v1`, { params: { apikey: "public-anon-key" } });
}

function openList() {
  const supabase = client();
  supabase.channel("list").on("broadcast", { event: "moved" }, () => {}).subscribe();
}

function openBadge() {
  const supabase = client();
  supabase.channel("badge").on("broadcast", { event: "moved" }, () => {}).subscribe();
}

openList();
openBadge();
