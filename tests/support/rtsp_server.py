"""An RTSP server for the tests: one H.264 file at rtsp://127.0.0.1:PORT/cam, from its beginning for the first client.
It dies where the file ends, as a camera that breaks: when that is goes by the film, not by who watches.

    python3 rtsp_server.py FILE.mp4 PORT

With USER and WORD in the environment it asks for them. Needs GStreamer's rtsp-server and its Python bindings
(Debian: gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad).
"""

import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
path, port = sys.argv[1:]
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f'( filesrc location="{path}" ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )')
factory.set_shared(True)


def break_off(_pad, info):
    if info.get_event().type == Gst.EventType.EOS:
        os._exit(0)
    return Gst.PadProbeReturn.OK


def configure(_factory, media):
    pad = media.get_element().get_by_name("pay0").get_static_pad("src")
    pad.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, break_off)


factory.connect("media-configure", configure)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
if "USER" in os.environ and "WORD" in os.environ:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(os.environ["USER"], os.environ["WORD"]), token)
    server.set_auth(auth)
    factory.add_role_from_structure(Gst.Structure.from_string("viewer, media.factory.access=true, media.factory.construct=true")[0])
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
