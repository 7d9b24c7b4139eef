import { RealtimeClient } from "@supabase/realtime-js";

const supabase = new RealtimeClient(`ws://${location.host}/realtime/v1`, { params: { apikey: "public-anon-key" } });

function watch(component) {
  const changes = { event: "INSERT", schema: "public", table: component };
  supabase.channel(`${component}-${Math.random()}`).on("postgres_changes", changes, () => {}).subscribe();
}

watch("list");
watch("badge");
