export const socket = io();
