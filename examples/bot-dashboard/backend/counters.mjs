// What happened since the start, for tests that compare what a checker says with what the server did.

export class Counters {
  connects = 0;
  disconnects = {};
  replaced = 0;
  refused = 0;
  open = 0;
  peak = 0;
  emitted = 0;
  received = 0;

  connected() {
    this.connects += 1;
    this.open += 1;
    this.peak = Math.max(this.peak, this.open);
  }

  disconnected(reason) {
    this.open -= 1;
    this.disconnects[reason] = (this.disconnects[reason] ?? 0) + 1;
  }
}
