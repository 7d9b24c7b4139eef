// The WhatsApp events of the bot backend.

export interface WhatsAppConnectionEvent {
  type: "whatsapp_connected" | "whatsapp_disconnected" | "qr_updated" | "connection_failed";
  userId: string;
  qr?: string;
  seq?: number;
}
