// Two stream sources, as two calls of turbo_stream_from render them.
import "@hotwired/turbo-rails";
