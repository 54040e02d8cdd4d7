// Loaded before the suite's server, which would listen on every address: keeps it on loopback.
import { Server } from 'node:net'

const listen = Server.prototype.listen
Server.prototype.listen = function (port, ...more) {
  return listen.call(this, Number(port), '127.0.0.1', ...more)
}
