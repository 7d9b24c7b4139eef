// How the dashboard and the wizard look, whoever feeds them.

import type { ReactNode } from "react";

export function Panel({ title, isConnected, children }: { title: string; isConnected: boolean; children?: ReactNode }) {
  return (
    <section data-connected={isConnected}>
      <h2>{title}</h2>
      <p className={isConnected ? "up" : "down"}>{isConnected ? "connected" : "not connected"}</p>
      {children}
    </section>
  );
}

interface DashboardProps {
  isConnected: boolean;
  status: string;
  onRefresh: () => void;
}

export function DashboardView({ isConnected, status, onRefresh }: DashboardProps) {
  return (
    <Panel title="Dashboard" isConnected={isConnected}>
      <p id="status">Bot: {status}</p>
      <button id="refresh" onClick={onRefresh}>
        Refresh status
      </button>
    </Panel>
  );
}

interface WizardProps {
  isConnected: boolean;
  qr: string;
  state: string;
  onTrigger: () => void;
  onDisconnect: () => void;
}

export function WizardView({ isConnected, qr, state, onTrigger, onDisconnect }: WizardProps) {
  return (
    <Panel title="Bot creation wizard" isConnected={isConnected}>
      <p id="whatsapp">WhatsApp: {state}</p>
      <p id="qr">{qr && `QR code: ${qr}`}</p>
      <button id="trigger" onClick={onTrigger}>
        Connect WhatsApp
      </button>
      <button id="disconnect" onClick={onDisconnect}>
        Disconnect WhatsApp
      </button>
    </Panel>
  );
}
