"""The fixed limits, declared once; the code, the API document and the page read them here."""

MAX_UPLOAD_BYTES = 25 * 2**20
MAX_PIXELS = 50_000_000  # of a source and of a result: both are held in memory
MAX_FRAMES = 1_000
MAX_ANIMATION_PIXELS = 40_000_000  # of all frames of an animation together: each costs what a picture does
MAX_SCANS = 64  # of a progressive JPEG; a photo has about 10, and each costs a pass over all pixels
FILES_PER_REQUEST = 20
IDS_PER_REQUEST = 100
MAX_BODY_BYTES = 64 * 2**10  # of a request to the API; images go to S3
UPLOAD_LINK_SECONDS = 5 * 60
DOWNLOAD_LINK_SECONDS = 10 * 60
